package precheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/openvic/vic/sdk/errdef"
)

// maxName is VIC's limit: longer names do not fit into the names that vSphere derives from them.
const maxName = 31

// checkName accepts names that can be those of a VM, a folder and a host alike.
func checkName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("the name is empty: %w", errdef.ErrInvalid)
	case len(s) > maxName:
		return fmt.Errorf("the name %q has %d characters, %d are allowed: %w", s, len(s), maxName, errdef.ErrInvalid)
	}
	for i, r := range s {
		letter := (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9')
		if !letter && (i == 0 || !strings.ContainsRune("-_.", r)) {
			return fmt.Errorf("the name %q: %w: letters, digits, and after the first character - _ . are allowed", s, errdef.ErrInvalid)
		}
	}
	return nil
}

func checkRange(p netip.Prefix) error {
	switch {
	case !p.IsValid() || !p.Addr().Is4():
		return fmt.Errorf("the bridge network's range is no IPv4 network: %w", errdef.ErrInvalid)
	case p.Bits() < 8 || p.Bits() > 24:
		return fmt.Errorf("the bridge network's range %s is not between /8 and /24: %w", p, errdef.ErrInvalid)
	}
	if a := p.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.As4()[0] == 0 || a.As4()[0] >= 240 {
		return fmt.Errorf("the bridge network's range %s is not for machines: %w", p, errdef.ErrInvalid)
	}
	return nil
}

// The signature of an ISO 9660 image, and how many blocks it says that it has.
const (
	isoOffset    = 0x8001
	isoSignature = "CD001"
	isoBlocks    = 0x8000 + 80
	isoBlock     = 2048
)

// checkISO reads the signature, so that a missing, unreadable or cut file is known now.
func (c *checker) checkISO(check, path, option string) {
	remedy := "build the images (make iso), or name the file with " + option
	if path == "" {
		c.fail(check, fmt.Errorf("%s was not found beside vic-machine, in iso beside it, nor in ./iso", strings.ReplaceAll(strings.ToLower(check), " ", ".")), remedy)
		return
	}
	size, err := isoSize(path)
	if err != nil {
		c.fail(check, err, remedy)
		return
	}
	c.ok(check, "%s, %d MiB", path, mib(size))
}

func isoSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, len(isoSignature))
	if _, err := f.ReadAt(b, isoOffset); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if string(b) != isoSignature {
		return 0, fmt.Errorf("%s is not an ISO image: %w", path, errdef.ErrInvalid)
	}
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	blocks := make([]byte, 4)
	if _, err := f.ReadAt(blocks, isoBlocks); err != nil {
		return 0, err
	}
	if want := int64(binary.LittleEndian.Uint32(blocks)) * isoBlock; fi.Size() < want {
		return 0, fmt.Errorf("%s is cut short: it has %d of %d bytes: %w", path, fi.Size(), want, errdef.ErrInvalid)
	}
	return fi.Size(), nil
}

// checkSizes refuses what cannot boot.
func (c *checker) checkSizes() {
	for _, s := range []struct {
		option   string
		value    int64
		min, max int64
	}{
		{"--endpoint-memory", c.Spec.EndpointMemoryMB, 256, 1 << 20},
		{"--endpoint-cpu", int64(c.Spec.EndpointCPU), 1, 64},
		{"--state-size", c.Spec.StateGB, 1, 62 << 10},
	} {
		c.checkSize(s.option, s.value, s.min, s.max)
	}
	c.checkContainerMemory()
	if m := c.Spec.EndpointMemoryMB; m%4 != 0 {
		c.fail("sizes", fmt.Errorf("--endpoint-memory is %d: %w", m, errdef.ErrInvalid), "give it a multiple of 4")
	}
}

// checkContainerMemory is for create and configure.
func (c *checker) checkContainerMemory() {
	c.checkSize("--container-memory", c.Spec.ContainerMemoryMB, 64, 1<<20)
}

func (c *checker) checkSize(option string, value, least, most int64) {
	if value < least || value > most {
		c.fail("sizes", fmt.Errorf("%s is %d: %w", option, value, errdef.ErrInvalid), fmt.Sprintf("give %s a value from %d to %d", option, least, most))
	}
}

func mib(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }

// list joins names, or says that there are none.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Images checks the ISO images that an upgrade brings.
func Images(appliance, bootstrap string) Report {
	c := &checker{out: &Output{}}
	c.checkISO("appliance ISO", appliance, "--appliance-iso")
	c.checkISO("bootstrap ISO", bootstrap, "--bootstrap-iso")
	return c.out.Report
}
