"""Other servers with the same model and the same candidates, one core each, in one run with ours."""
