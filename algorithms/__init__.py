"""The algorithms that come with nas-harness, one short file each."""

DISTRIBUTION = "nas-harness"
