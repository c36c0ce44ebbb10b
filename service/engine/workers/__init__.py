"""Work in the background, beside the calls: each kind in a file, all of it run by one loop."""
