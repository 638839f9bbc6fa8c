"""Results in files to look at: a page, and a table for spreadsheets."""
