"""Networks fitted to labelled images, with or without a rubbish class."""
