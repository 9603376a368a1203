"""What the numbers say: tables, statistics, figures and the page."""
