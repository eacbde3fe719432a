// Package storagev1 is the generated code of storage.v1; storage.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package storagev1
