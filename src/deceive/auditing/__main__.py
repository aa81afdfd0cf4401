"""`python -m deceive.auditing`: the page that describes `audit.json`."""

from deceive.auditing.schema import page

print(page(), end="")
