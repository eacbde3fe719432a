// Package devicev1 is the generated code of device.v1; device.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package devicev1
