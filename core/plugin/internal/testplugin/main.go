// testplugin is a plugin that keeps everything in memory, for tests of the host. Its behaviour is
// chosen by its configuration and, where Describe must differ, by the name of its program file.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/openvic/vic/sdk/compute"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/network"
	"github.com/openvic/vic/sdk/platform"
	"github.com/openvic/vic/sdk/serve"
	"github.com/openvic/vic/sdk/storage"
)

type config struct {
	Fail   string   `toml:"fail"`   // Configure fails: "invalid", "denied", "unavailable"
	Stderr []string `toml:"stderr"` // lines to write to stderr, raw
	Greet  string   `toml:"greet"`  // a line for the log
	Sick   string   `toml:"sick"`   // a reason not to be healthy, after a moment
	Memory bool     `toml:"memory"` // the guests' connections are no sockets, and cannot be handed over
	Slow   int      `toml:"slow"`   // milliseconds that Configure takes
}

func main() {
	name := filepath.Base(os.Args[0])
	disk := "vmdk-delta"
	if strings.Contains(name, "zvol") {
		disk = "zvol"
	}
	components := []kind.Component{
		compute.Plugin().Component(name, "disk:vmdk", "disk:vmdk-delta", "nic:portgroup"),
		storage.Plugin().Component(name, "makes-disk:"+disk),
		network.Plugin().Component(name, "makes-nic:portgroup"),
		platform.Plugin().Component(name),
	}
	if storageOnly() {
		components = components[1:2]
	}
	serve.Main(serve.Plugin[config]{
		Name: "testplugin", Version: "1.2.3", Example: "# nothing is needed\n",
		Components: components, Configure: configure,
	})
}

// about tells of the platform that is none.
type about struct{}

func (about) Report(context.Context, int) (platform.Report, error) {
	return platform.Report{About: "memory of " + filepath.Base(os.Args[0])}, nil
}

func storageOnly() bool { return strings.Contains(filepath.Base(os.Args[0]), "storage-only") }

func configure(_ context.Context, c config) (serve.Instance, error) {
	for _, line := range c.Stderr {
		_, _ = syscall.Write(2, []byte(line+"\n"))
	}
	if c.Greet != "" {
		slog.Warn("greeting", "text", c.Greet)
		fmt.Println("also on stdout")
	}
	time.Sleep(time.Duration(c.Slow) * time.Millisecond)
	switch c.Fail {
	case "invalid":
		return serve.Instance{}, fmt.Errorf("key \"fail\" says so: %w", errdef.ErrInvalid)
	case "denied":
		return serve.Instance{}, fmt.Errorf("wrong password: %w", errdef.ErrDenied)
	case "unavailable":
		return serve.Instance{}, fmt.Errorf("the platform does not answer: %w", errdef.ErrUnavailable)
	case "panic":
		var d *compute.Fake
		d.OnStop("")
	}
	vms := compute.NewFake()
	vms.Sockets = !c.Memory
	vms.OnStart = func(req compute.CreateRequest) { guest(vms, req.ID) }
	disks := storage.Plugin().Serve(storage.NewFake())
	d := serve.Instance{Drivers: []kind.Driver{compute.Plugin().Serve(vms), disks, network.Plugin().Serve(network.NewFake()), platform.Plugin().Serve(about{})}}
	if storageOnly() {
		d.Drivers = []kind.Driver{disks}
	}
	if c.Sick != "" {
		d.Health = func(ctx context.Context, report func(error)) {
			report(errors.New(c.Sick))
			<-ctx.Done()
		}
	}
	return d, nil
}

// guest answers each connection: "send N" with N bytes, "sink N" with "ok" after N bytes, any other
// line with itself.
func guest(vms *compute.Fake, id string) {
	for {
		conn, err := vms.Dial(id)
		if err != nil {
			return
		}
		r := bufio.NewReaderSize(conn, 64<<10)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			answer(conn, r, line)
		}
		conn.Close()
	}
}

func answer(w io.Writer, r *bufio.Reader, line string) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	n, _ := strconv.Atoi(rest)
	switch word {
	case "send":
		buf := make([]byte, 64<<10)
		for n > 0 {
			m, err := w.Write(buf[:min(n, len(buf))])
			if err != nil {
				return
			}
			n -= m
		}
	case "sink":
		_, _ = io.CopyN(io.Discard, r, int64(n))
		_, _ = io.WriteString(w, "ok\n")
	default:
		_, _ = io.WriteString(w, line)
	}
}
