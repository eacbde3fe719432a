package main

import (
	"testing"

	"github.com/openvic/vic/drivers/vsphere/config"
)

func TestExampleIsAWholeConfiguration(t *testing.T) {
	if _, err := config.Parse(example()); err != nil {
		t.Fatal(err)
	}
}
