"""`python -m benchgate`."""

from benchgate.cli import main

if __name__ == "__main__":
    main()
