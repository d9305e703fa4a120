"""Methods of weight sharing, a file each: what a super-network is trained on, and which architecture it ends with."""
