// Package linkv1 is the generated code of the link protocol; link.proto holds its rules.
package linkv1
