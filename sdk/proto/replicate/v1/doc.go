// Package replicatev1 is the generated code of replicate.v1; replicate.proto holds its rules. Only the
// adapters of the SDK and of the host use it.
package replicatev1
