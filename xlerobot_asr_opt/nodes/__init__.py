"""One thin file a node: executable name = node name = file stem."""
