// Package system runs a whole Weir for a test: all in one process, or each
// service and each server it needs in a process of its own. The two differ in
// nothing a client can see.
package system

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/test/internal/proc"
)

// Mode is how the parts of Weir are spread over processes.
type Mode string

// The modes.
const (
	AllInOne Mode = "all-in-one" // weir up
	Separate Mode = "separate"
)

// Modes lists all modes.
func Modes() []Mode { return []Mode{AllInOne, Separate} }

// Services lists the service processes of Separate that work on jobs.
func Services() []string { return []string{"ingestor", "embedder", "router", "generator"} }

// Options says what to run.
type Options struct {
	Mode Mode
	// Dir keeps the data; two systems may use it one after the other. "" takes
	// a new one.
	Dir string
	// Env holds settings of the services.
	Env map[string]string
	// SimArgs are arguments of the simulator in Separate.
	SimArgs []string
}

// System is a running Weir.
type System struct {
	Options
	// NatsURL is where clients connect.
	NatsURL string
	// SimURL is the simulator of Separate.
	SimURL string
	// APIURL is where the HTTP API is.
	APIURL string
	// Processes are the children by name: weir, or nats, qdrant, llmsim, gateway
	// and the Services.
	Processes map[string]*proc.Process
	// Health is the base URL of each process that serves health and metrics.
	Health map[string]string

	t testing.TB
}

// Start returns a system that works.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s := &System{Options: o, t: t, Processes: map[string]*proc.Process{}, Health: map[string]string{}}
	if o.Mode == AllInOne {
		s.startAllInOne()
	} else {
		s.startSeparate()
	}
	return s
}

func (s *System) startAllInOne() {
	s.t.Helper()
	p := proc.Start(s.t, proc.Command{Name: "weir", Env: s.Env, Args: []string{
		"up", "--json", "--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--data-dir", s.Dir}})
	s.Processes["weir"] = p
	told := p.JSON()
	s.NatsURL, s.Health["weir"], s.APIURL = told["nats_url"], "http://"+told["http_addr"], "http://"+told["api_addr"]
}

func (s *System) startSeparate() {
	s.t.Helper()
	// Addresses are chosen here so that a server keeps its own over a restart.
	s.startServer("nats", "--addr", proc.FreeAddr(s.t), "--data-dir", filepath.Join(s.Dir, "nats"))
	s.startServer("qdrant", "--addr", proc.FreeAddr(s.t), "--data-dir", filepath.Join(s.Dir, "qdrant"))
	s.startServer("llmsim", append([]string{"--addr", proc.FreeAddr(s.t)}, s.SimArgs...)...)
	addr := map[string]string{}
	for _, name := range []string{"nats", "qdrant", "llmsim"} {
		addr[name] = s.Processes[name].JSON()["addr"]
	}
	api := proc.FreeAddr(s.t)
	s.NatsURL, s.SimURL, s.APIURL = addr["nats"], addr["llmsim"], "http://"+api
	services := append(Services(), "gateway")
	for _, name := range services {
		http := proc.FreeAddr(s.t)
		env := map[string]string{
			"WEIR_NATS_URL": addr["nats"], "WEIR_HTTP_ADDR": http,
			"WEIR_EMBEDDER_QDRANT_ADDR": addr["qdrant"], "WEIR_ROUTER_QDRANT_ADDR": addr["qdrant"],
			"WEIR_SIM_URL": addr["llmsim"], "WEIR_GATEWAY_ADDR": api,
		}
		maps.Copy(env, s.Env)
		s.Processes[name] = proc.Start(s.t, proc.Command{Name: name, Env: env})
		s.Health[name] = "http://" + http
	}
	for _, name := range services {
		s.Processes[name].AwaitStatus(s.Health[name]+"/readyz", 200)
	}
}

// startServer runs one of the embedded servers.
func (s *System) startServer(name string, args ...string) {
	s.t.Helper()
	s.Processes[name] = proc.Start(s.t, proc.Command{
		Name: "weir", Label: name, Args: append([]string{"dev", name, "--json"}, args...)})
}

// Restart kills one process and starts it again, without waiting until it is
// ready.
func (s *System) Restart(name string) {
	s.t.Helper()
	s.Processes[name].Kill()
	s.Processes[name] = s.Processes[name].Restart()
}

// Kill kills all processes at once, as a power cut of the machine would but
// for its disk.
func (s *System) Kill() {
	s.t.Helper()
	for _, p := range s.Processes {
		p.Kill()
	}
}

// Connect returns a connection that survives restarts, closed with the test.
func (s *System) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.NatsURL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatalf("connecting to %s: %v", s.NatsURL, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Client returns a client on a connection of its own.
func (s *System) Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(s.Connect(t))
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	return c
}
