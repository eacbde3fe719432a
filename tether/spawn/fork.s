// The bodies of the functions that fork.go declares are in the runtime.
