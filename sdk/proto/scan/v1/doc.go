// Package scanv1 is the generated code of scan.v1; scan.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package scanv1
