"""Tables of published figures: for the terminal, the README, the guides and the cards."""
