// Package networkv1 is the generated code of network.v1; network.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package networkv1
