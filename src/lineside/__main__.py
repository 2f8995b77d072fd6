"""Run the command line as ``python -m lineside``."""

from lineside.cli import main

main()
