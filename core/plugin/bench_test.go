package plugin_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/compute"
)

func benchHost(b *testing.B, toml string) compute.Driver {
	h, _ := start(b, plugin.Options{Plugins: []config.Plugin{spec(b, "one", toml)}})
	d, err := plugin.Driver(h, compute.Plugin(), "one")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.List(context.Background()); err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkPluginCall is a unary call to a plugin in a process of its own.
func BenchmarkPluginCall(b *testing.B) {
	d := benchHost(b, "")
	ctx := context.Background()
	var took []time.Duration
	for b.Loop() {
		t := time.Now()
		if _, err := d.List(ctx); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(t))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

const bulk = 64 << 20

// both runs a benchmark for a guest's socket, which the plugin hands over, and for bytes that pass
// through the plugin.
func both(b *testing.B, f func(b *testing.B, d compute.Driver)) {
	b.Run("handed-over", func(b *testing.B) { f(b, benchHost(b, "")) })
	b.Run("through", func(b *testing.B) { f(b, benchHost(b, "memory = true\n")) })
}

// BenchmarkConnectFromGuest carries bytes from a guest to the host.
func BenchmarkConnectFromGuest(b *testing.B) { both(b, fromGuest) }

func fromGuest(b *testing.B, d compute.Driver) {
	_, conn := running(b, d)
	defer conn.Close()
	b.SetBytes(bulk)
	for b.Loop() {
		fmt.Fprintf(conn, "send %d\n", bulk)
		if _, err := io.CopyN(io.Discard, conn, bulk); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnectToGuest carries bytes from the host to a guest.
func BenchmarkConnectToGuest(b *testing.B) { both(b, toGuest) }

func toGuest(b *testing.B, d compute.Driver) {
	_, conn := running(b, d)
	defer conn.Close()
	buf := make([]byte, 64<<10)
	b.SetBytes(bulk)
	for b.Loop() {
		fmt.Fprintf(conn, "sink %d\n", bulk)
		for range bulk / len(buf) {
			if _, err := conn.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(conn, buf[:3]); err != nil {
			b.Fatal(err)
		}
	}
}
