package hub

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/openvic/vic/sdk/guest/hubguest"
)

// ovfConfig turns an OVF environment into the configuration of the VM that it is for, as the tether of hub.iso asks for: JSON of
// a guest.Config. What is wrong goes to stderr, which is the VM's console.
func ovfConfig(in io.Reader, stdout, stderr io.Writer) int {
	text, err := io.ReadAll(io.LimitReader(in, hubguest.MaxEnvironment+1))
	var e hubguest.Environment
	var h hubguest.Hub
	if err == nil {
		e, err = hubguest.ParseEnvironment(text)
	}
	if err == nil {
		h, err = hubguest.FromEnvironment(e)
	}
	if err == nil {
		err = json.NewEncoder(stdout).Encode(h.Config())
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitWrong
	}
	return exitWell
}
