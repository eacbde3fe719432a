// Package computev1 is the generated code of compute.v1; compute.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package computev1
