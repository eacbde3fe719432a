//go:build !unix

package serve

// closeOnExec has nothing to do: other systems start programs without descriptors.
func closeOnExec(int) {}
