// Package authv1 is the generated code of auth.v1; auth.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package authv1
