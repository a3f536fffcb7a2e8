"""Many runs as one plan: arms and seeds, trained as a tree that shares every common beginning."""
