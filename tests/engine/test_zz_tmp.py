import tests.engine.test_model as T
from hypothesis import settings, Phase
def test_x(new_file):
    T.run_state_machine_as_test(lambda: T.Rentals(new_file()), settings=settings(max_examples=33,phases=[Phase.generate]))
