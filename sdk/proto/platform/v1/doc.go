// Package platformv1 is the generated code of platform.v1; platform.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package platformv1
