"""`python -m longthought.cli`, for where the console script is not on the path."""

from longthought.cli import main

main()
