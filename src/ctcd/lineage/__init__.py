"""What makes a training this one and no other: digests, atomic files, states and kept results."""
