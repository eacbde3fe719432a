// Package e2e holds the story tests: the real docker CLI and govc against a VCH on the lab, with
// real guests. They share one lab and one VCH, which TestMain makes and takes away again, and print
// their progress. Package harness says what they need.
package e2e
