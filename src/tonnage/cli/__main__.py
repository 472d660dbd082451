"""`python -m tonnage.cli`: the command where no script of that name is installed, as in an image."""

from tonnage.cli import main

if __name__ == "__main__":
    main()
