"""``python -m service.cli`` is the `freehold` command."""

from service.cli import main

main()
