// Package pluginv1 is the generated code of plugin.v1; plugin.proto holds its rules. Only the adapters of the
// SDK and of the host use it.
package pluginv1
