"""`python -m evq` is the `evq` command."""

from evq.cli import main

if __name__ == "__main__":
    main()
