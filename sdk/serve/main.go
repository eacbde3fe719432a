package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wire"
	"github.com/openvic/vic/sdk/kind"
	"github.com/openvic/vic/sdk/serve/strict"
)

// What host and plugin agree on before they speak.
const (
	// ProtocolVersion is the version of plugin.v1 that this SDK speaks. A host and a plugin that have none in
	// common part before the first call, and the host says so.
	ProtocolVersion  = 1
	MagicCookieKey   = "VIC_PLUGIN"
	MagicCookieValue = "3f6a1c0e-7f0b-4d53-9a51-5f0f2a3c8d11"
	// PluginSet is the one name in go-plugin's set.
	PluginSet = "vic"
	// LifelineEnv names the descriptor whose end-of-file says that the host is gone.
	LifelineEnv = "VIC_LIFELINE_FD"
	// LogLevelEnv is the level of slog: debug, info, warn or error.
	LogLevelEnv = "VIC_LOG_LEVEL"
)

// Handshake is go-plugin's form of the constants above.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   MagicCookieKey,
		MagicCookieValue: MagicCookieValue,
	}
}

// DialOptions are the settings of the host's side of the connection.
func DialOptions() []grpc.DialOption { return wire.DialOptions() }

// ServerOptions are the settings of the plugin's side of the connection.
func ServerOptions() []grpc.ServerOption { return wire.ServerOptions() }

// AnswerKey is the trailer key of errors that a plugin answered itself.
const AnswerKey = wire.AnswerKey

// Main serves the plugin until its host stops it or is gone. Run by hand it says what it is;
// with the argument "example" it prints its example configuration, with "check FILE" what is wrong with
// the keys of one.
func Main[C any](p Plugin[C]) {
	if os.Getenv(MagicCookieKey) != MagicCookieValue {
		if err := byHand(os.Stdout, os.Args[1:], p); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// go-plugin replaces os.Stderr; the logs go to the first one.
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level(os.Getenv(LogLevelEnv))})))
	if err := hold(os.Getenv(LifelineEnv)); err != nil {
		slog.Error("lifeline is not there", "err", err)
		os.Exit(1)
	}
	options := append(wire.ServerOptions(), extensions(p.Components)...)
	s := NewServer(context.Background(), p)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  Handshake(),
		VersionedPlugins: map[int]plugin.PluginSet{ProtocolVersion: {PluginSet: &adapter{register: s.Register}}},
		Logger:           hclog.NewNullLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, options...)...)
		},
	})
}

// extensions makes what the kinds need beside their services, each once.
func extensions(components []kind.Component) (options []grpc.ServerOption) {
	seen := map[string]bool{}
	for _, c := range components {
		for _, e := range c.Extensions {
			if seen[e.Name] {
				continue
			}
			seen[e.Name] = true
			o, err := e.Options(os.Getenv)
			if err != nil {
				slog.Warn("the plugin works without an extension", "extension", e.Name, "err", err) // slower, but not wrong
			}
			options = append(options, o...)
		}
	}
	return options
}

func byHand[C any](w io.Writer, args []string, p Plugin[C]) error {
	if len(args) == 1 && args[0] == "example" {
		fmt.Fprint(w, p.Example)
		return nil
	}
	if len(args) == 2 && args[0] == "check" {
		text, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		config := p.Defaults
		return strict.Decode(args[1], string(text), &config)
	}
	fmt.Fprintf(w, "%s %s: a plugin of vicd, which starts it by itself.\n", p.Name, p.Version)
	for _, c := range p.Components {
		fmt.Fprintf(w, "  %s %s: %s\n", c.Kind, c.Name, strings.Join(c.Capabilities, " "))
	}
	fmt.Fprintln(w, "Name it in a TOML file of vicd's plugins.dir. Arguments: \"example\" prints an example of its own configuration, "+
		"\"check FILE\" says which keys of one are wrong.")
	return nil
}

func level(s string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// hold ends the process when the host's end of the pipe is closed. Without a number there is no
// lifeline (tests in one process).
func hold(number string) error {
	if number == "" {
		return nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("%s=%q is not a number", LifelineEnv, number)
	}
	closeOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "lifeline")
	if _, err := pipe.Stat(); err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(0)
	}()
	return nil
}

// adapter is go-plugin's form of a plugin.
type adapter struct {
	plugin.NetRPCUnsupportedPlugin
	register func(grpc.ServiceRegistrar) error
}

var _ plugin.GRPCPlugin = (*adapter)(nil)

// GRPCServer registers the services.
func (a *adapter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error { return a.register(s) }

// GRPCClient returns the connection.
func (a *adapter) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// ClientSets is what a host hands to go-plugin, by version of the protocol: dispensing PluginSet gives the
// *grpc.ClientConn.
func ClientSets() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{ProtocolVersion: {PluginSet: &adapter{}}}
}
