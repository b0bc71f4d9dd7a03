"""Runs: how a notebook and a set of parameters become a page that the book may show.

`parameters` reads what a notebook can be asked, `profiles` holds named answers, `estimate` says what they would cost
and refuses what cannot fit, `records` keeps what happened, `runner` makes it happen. Nothing here imports papermill,
torch or transformers before a kernel is really started, so that a mistake is answered at once.
"""
