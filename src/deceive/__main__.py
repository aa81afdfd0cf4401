"""`python -m deceive`, which is also how a launcher of many processes starts it."""

from deceive.cli import main

main()
