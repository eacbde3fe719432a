package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/openvic/vic/core/config"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/handover"
	pluginv1 "github.com/openvic/vic/sdk/proto/plugin/v1"
	"github.com/openvic/vic/sdk/serve"
)

// Bounds of one process's life.
const (
	startTimeout     = 30 * time.Second
	describeTimeout  = 10 * time.Second
	configureTimeout = 3 * time.Minute
	stopTimeout      = 5 * time.Second
	killTimeout      = 10 * time.Second
)

// The descriptors that a child gets from ExtraFiles.
const (
	lifelineFD = 3 + iota
	handoverFD
)

// process is one run of a plugin's program.
type process struct {
	name   string
	client *plugin.Client
	conn   *grpc.ClientConn
	api    pluginv1.PluginServiceClient
	pid    int
	sha256 string
	relay  *relay
	dir    string
	// lifeline is the host's end of the pipe. It is never written; the kernel closes it with us.
	lifeline *os.File
	handover *handover.Receiver
	// life ends with the process.
	life context.Context
	end  context.CancelFunc
}

// launch checks and starts the program. The process must be closed.
func launch(ctx context.Context, spec config.Plugin, runDir string, level slog.Level, log *slog.Logger) (_ *process, err error) {
	if _, err := os.Stat(spec.Path); err != nil {
		return nil, fmt.Errorf("%s: path: %w: %w", spec.File, err, errdef.ErrInvalid)
	}
	pin, sum, err := newPin(spec.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%s: sha256: %w", spec.File, err)
	}
	p := &process{name: spec.Name, relay: &relay{log: log}}
	p.life, p.end = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.dir, err = os.MkdirTemp(runDir, "plugin-"); err != nil {
		return nil, fmt.Errorf("directory for the plugin's socket: %w", err)
	}
	child, err := p.openLifeline()
	if err != nil {
		return nil, err
	}
	defer child.Close()
	receiver, sender, err := handover.Pair()
	if err != nil {
		return nil, err
	}
	defer sender.Close()
	p.handover = receiver

	cmd := exec.Command(spec.Path)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		plugin.EnvUnixSocketDir + "=" + p.dir,
		serve.LifelineEnv + "=" + strconv.Itoa(lifelineFD),
		serve.LogLevelEnv + "=" + level.String(),
		handover.EnvFD + "=" + strconv.Itoa(handoverFD),
	}
	cmd.ExtraFiles = []*os.File{child, sender}
	// A group of its own: programs that the plugin left behind go with it, and a Ctrl-C that is meant
	// for the host does not reach it.
	cmd.SysProcAttr = ownGroup()
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  serve.Handshake(),
		VersionedPlugins: serve.ClientSets(),
		Cmd:              cmd,
		SecureConfig:     pin,
		AutoMTLS:         true,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  serve.DialOptions(),
		StartTimeout:     startTimeout,
		// go-plugin would parse stderr itself, and a line {"@message":1} would panic it: it gets a
		// logger that is off and hands the raw lines to us.
		Logger:     hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard}),
		Stderr:     p.relay,
		SyncStdout: p.relay,
		SyncStderr: p.relay,
	})
	rpc, err := p.client.Client()
	p.sha256 = sum.String()
	if errors.Is(err, plugin.ErrChecksumsDoNotMatch) {
		return p, fmt.Errorf("%s: %s has the sha256 %s, and this file asks for %s; if the program was replaced on purpose, change sha256: %w",
			spec.File, spec.Path, p.sha256, spec.SHA256, errdef.ErrInvalid)
	}
	if v := speaks(err); v != "" {
		p.close()
		return nil, fmt.Errorf("%s: %s speaks version %s of the plugin protocol and this host version %d: "+
			"build the plugin with this host's SDK, or run the host that it was built for: %w",
			spec.File, spec.Path, v, serve.ProtocolVersion, errdef.ErrUnsupported)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%s does not start as a plugin: %w%s", spec.Path, err, p.lastWords())
	}
	p.pid = cmd.Process.Pid
	p.conn = rpc.(*plugin.GRPCClient).Conn
	p.api = pluginv1.NewPluginServiceClient(p)
	return p, nil
}

// otherVersion finds the plugin's version in go-plugin's words: it has no error to compare with.
var otherVersion = regexp.MustCompile(`incompatible API version with plugin\. Plugin version: (\d+)`)

// speaks returns the version of the protocol that a plugin speaks, if that is why it cannot be used.
func speaks(err error) string {
	if err == nil {
		return ""
	}
	if m := otherVersion.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// openLifeline makes the pipe and returns the child's end.
func (p *process) openLifeline() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("lifeline: %w", err)
	}
	p.lifeline = w
	return r, nil
}

func (p *process) lastWords() string {
	if w := p.relay.words(); w != "" {
		return "; its last words: " + w
	}
	return ""
}

// watch reports health until the process ends, which it finds out before anybody else.
func (p *process) watch(report func(healthy bool, message string)) error {
	// Not p.api: its errors wait for the end that this stream is there to find.
	stream, err := pluginv1.NewPluginServiceClient(p.conn).WatchHealth(p.life, &pluginv1.WatchHealthRequest{})
	if err != nil {
		p.end()
		return err
	}
	timer := time.AfterFunc(describeTimeout, p.end)
	first, err := stream.Recv()
	timer.Stop()
	if err != nil {
		p.end()
		return err
	}
	report(first.GetHealthy(), first.GetMessage())
	go func() {
		defer p.end()
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			report(m.GetHealthy(), m.GetMessage())
		}
	}()
	return nil
}

// close ends the process, first by asking, and removes what belonged to it. When it returns, all that
// the process wrote is in the log. A second close does nothing.
func (p *process) close() {
	gone := p.life.Err() != nil
	if p.conn != nil && !gone {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.life), stopTimeout)
		_, _ = p.api.Stop(ctx, &pluginv1.StopRequest{})
		cancel()
	}
	p.end()
	if p.client != nil {
		p.kill(gone)
	}
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
	if p.handover != nil {
		_ = p.handover.Close()
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// kill ends the process and the programs that it started. go-plugin waits for the end of stderr,
// which such a program may hold: if the plugin is gone, or does not go, its group is killed.
func (p *process) kill(gone bool) {
	if gone {
		p.killGroup()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.client.Kill()
	}()
	select {
	case <-done:
	case <-time.After(killTimeout):
		p.killGroup()
	}
}

func (p *process) killGroup() {
	if p.pid > 0 {
		killGroup(p.pid)
	}
}
