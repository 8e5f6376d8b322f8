"""From a recording without annotations to labelled beats, files and a report."""
