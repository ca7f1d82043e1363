"""`python -m polymnia`."""

from polymnia.cli import main

if __name__ == "__main__":
    main()
