package hub

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/plugin"
	"github.com/openvic/vic/sdk/secret"
)

const namespace = "vic_hub"

// metrics are for Prometheus. All methods may be called at once.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	calls    *prometheus.CounterVec
}

// newMetrics makes them; plugins is asked at each scrape.
func newMetrics(version string, plugins func() []plugin.Status) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "requests_total",
			Help: "Requests by the part that answered (registry, token, api, other), method and status."}, []string{"part", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "request_seconds",
			Help: "How long requests took, transfers included.", Buckets: []float64{.002, .01, .05, .2, 1, 5, 30, 120, 600}}, []string{"part"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "plugin_calls_total",
			Help: "Calls to plugins, by whether they succeeded."}, []string{"plugin", "method", "ok"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.calls, build, pluginStates{plugins}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// call is for plugin.Options.Observe.
func (m *metrics) call(plugin, method string, _ bool, _ time.Duration, err error) {
	m.calls.WithLabelValues(plugin, method, strconv.FormatBool(err == nil)).Inc()
}

// part is what answers a path. There are few, so that no client makes up new series.
func part(path string) string {
	for prefix, name := range map[string]string{"/v2": "registry", "/service/token": "token", "/api/": "api"} {
		if strings.HasPrefix(path, prefix) {
			return name
		}
	}
	return "other"
}

// known are the methods that have a series of their own.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// count counts requests.
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, c := time.Now(), &counted{ResponseWriter: w, code: http.StatusOK}
		p := part(r.URL.Path)
		defer func() {
			m.requests.WithLabelValues(p, known(r.Method), strconv.Itoa(c.code)).Inc()
			m.seconds.WithLabelValues(p).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(c, r)
	})
}

// counted remembers a status.
type counted struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find the connection.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// handler answers those who may read system logs, by name and password: a cloud administrator or a robot.
func (m *metrics) handler(a *authz.Authority) http.Handler {
	show := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		who := authz.Nobody
		if ok {
			var err error
			if who, err = a.SignIn(r.Context(), name, secret.Text(password), access.Address(r)); err != nil {
				who = authz.Nobody
			}
		}
		answer, err := a.Everywhere(r.Context(), who, role.SystemLog)
		switch {
		case err != nil:
			plain(w, http.StatusServiceUnavailable, "the database does not answer\n")
		case answer == role.Allowed:
			show.ServeHTTP(w, r)
		case who.Known():
			plain(w, http.StatusForbidden, "metrics are for cloud administrators and robots that may "+role.SystemLog.String()+"\n")
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="vic-hub"`)
			plain(w, http.StatusUnauthorized, "sign in first\n")
		}
	})
}

// pluginStates collects what plugins are at the moment.
type pluginStates struct{ list func() []plugin.Status }

var (
	pluginUp       = prometheus.NewDesc(namespace+"_plugin_up", "1 if the plugin is up and healthy.", []string{"plugin"}, nil)
	pluginRestarts = prometheus.NewDesc(namespace+"_plugin_restarts_total", "How often the plugin was started anew.", []string{"plugin"}, nil)
)

// Describe implements prometheus.Collector.
func (pluginStates) Describe(ch chan<- *prometheus.Desc) { ch <- pluginUp; ch <- pluginRestarts }

// Collect implements prometheus.Collector.
func (p pluginStates) Collect(ch chan<- prometheus.Metric) {
	for _, s := range p.list() {
		up := 0.0
		if s.State == plugin.StateUp && s.Healthy {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(pluginUp, prometheus.GaugeValue, up, s.Name)
		ch <- prometheus.MustNewConstMetric(pluginRestarts, prometheus.CounterValue, float64(s.Restarts), s.Name)
	}
}
