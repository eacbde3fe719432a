// Package metrics is what vicd tells Prometheus: containers by state, plugins and the calls to them,
// image pulls, links to tethers, logins, and when certificates end.
package metrics

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const namespace = "vic"

// Plugin is what is told of one plugin.
type Plugin struct {
	Name     string
	Up       bool
	Healthy  bool
	Restarts int
}

// Options say where values come from that are read when someone asks.
type Options struct {
	Name, Version string // of the VCH and of vicd
	// Containers counts containers by state.
	Containers func() map[string]int
	Plugins    func() []Plugin
	// Ready says whether requests can be answered.
	Ready func() bool
	// Certificates are PEM files by what they are for.
	Certificates map[string]string
}

// Metrics counts. All methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	links    prometheus.Counter
	pulls    *prometheus.CounterVec
	pulling  prometheus.Histogram
	logins   *prometheus.CounterVec
}

// New makes all metrics of one daemon.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "plugin_calls_total",
			Help: "Calls to plugins by their result, a gRPC code."}, []string{"plugin", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "plugin_call_seconds",
			Help: "How long unary calls to plugins took.", Buckets: []float64{.001, .005, .02, .1, .5, 1, 2, 5, 15, 60}}, []string{"plugin", "method"}),
		links: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "link_connects_total",
			Help: "Requests for a connection to a container's tether: one for each start, each one more is a reconnect."}),
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "image_pulls_total",
			Help: "Image pulls that have ended."}, []string{"result"}),
		pulling: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "image_pull_seconds",
			Help: "How long image pulls took that succeeded.", Buckets: []float64{.5, 1, 2, 5, 10, 30, 60, 300, 1800}}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "admin_logins_total",
			Help: "Logins to the admin site: accepted, refused, limited (too many tries) or error."}, []string{"result"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"vch": o.Name, "version": o.Version}})
	build.Set(1)
	m.registry.MustRegister(m.calls, m.seconds, m.links, m.pulls, m.pulling, m.logins, build, newState(o),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Call counts a call to a plugin; its method is "/vic.compute.v1.ComputeService/Create".
func (m *Metrics) Call(plugin, method string, stream bool, took time.Duration, err error) {
	name := short(method)
	m.calls.WithLabelValues(plugin, name, code(err)).Inc()
	if !stream {
		m.seconds.WithLabelValues(plugin, name).Observe(took.Seconds())
	} else if err == nil && strings.HasSuffix(name, "/Connect") {
		m.links.Inc()
	}
}

// short makes "compute/Create" of a full method.
func short(method string) string {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	parts := strings.Split(service, ".")
	if len(parts) > 1 {
		service = parts[1]
	}
	return service + "/" + name
}

func code(err error) string {
	if s, ok := status.FromError(err); ok || err == nil {
		return s.Code().String()
	}
	return codes.Unavailable.String() // the plugin was not there
}

// Pull counts an image pull that has ended.
func (m *Metrics) Pull(took time.Duration, err error) {
	if err != nil {
		m.pulls.WithLabelValues("error").Inc()
		return
	}
	m.pulls.WithLabelValues("ok").Inc()
	m.pulling.Observe(took.Seconds())
}

// Login counts a login to the admin site.
func (m *Metrics) Login(result string) { m.logins.WithLabelValues(result).Inc() }

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Write writes all metrics as text.
func (m *Metrics) Write(w io.Writer) error {
	families, err := m.registry.Gather()
	for _, f := range families {
		if _, werr := expfmt.MetricFamilyToText(w, f); werr != nil {
			return errors.Join(err, werr)
		}
	}
	return err
}

// Expiry is when the first of the certificates in a PEM file ends.
func Expiry(file string) (time.Time, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, err
	}
	var first time.Time
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, err
		}
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	if first.IsZero() {
		return first, errors.New("the file holds no certificate")
	}
	return first, nil
}
