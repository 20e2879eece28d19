"""Tag words or characters: names of people, places and the like."""
