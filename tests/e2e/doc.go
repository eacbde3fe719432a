// Package e2e holds the story tests: the real docker CLI and govc against a VCH on the lab, with
// real guests. They share one lab and one VCH, which TestMain makes and takes away again, and print
// their progress.
//
// They need what `make e2e` builds first: the binaries, the ISOs and the test images. VIC_E2E_BUILD
// names the folder that holds them (default: build in the checkout); VIC_E2E_KEEP=1 leaves the lab
// running for a look afterwards.
package e2e
