package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/hopblame/hopblame/internal/scratch"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/train"
)

// Defaults of [Options].
const (
	DefaultListen = "127.0.0.1:8420"
	DefaultKeep   = 4 << 30
)

// Options says where a server listens and what it keeps. The zero value has the defaults.
type Options struct {
	Listen string // "" means DefaultListen; port 0 is any that is free
	// Dir is where runs are kept as long as the server lives, in a folder of its own; ""
	// means the one for temporary files.
	Dir  string
	Keep int64 // bytes of runs and exercises that are kept; 0 means DefaultKeep
	// Language is that of the pages, by the name of its folder in words; "" is en.
	Language string
}

// AddressError says that a server is not to listen somewhere.
type AddressError struct{ Address, Why string }

func (e *AddressError) Error() string { return fmt.Sprintf("%s: %s", e.Address, e.Why) }

// CheckListen says whether an address is one that a server may have: of this machine alone,
// for whoever reaches the server can start programs of this user and fill the disk. What is
// not is an [AddressError].
func CheckListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return &AddressError{address, "must be HOST:PORT, such as " + DefaultListen}
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return &AddressError{address, "others could reach it there; it must be 127.0.0.1, [::1] or localhost. From another machine, ssh -L 8420:" + DefaultListen + " leads here"}
	}
	return nil
}

// Server is one that listens. Its folder is gone when Serve or Close returns, and is swept
// by the next program if it is killed.
type Server struct {
	listener  net.Listener
	folder    *scratch.Folder
	keep      int64
	pages     *pages
	catalogue []*scenarios.Scenario
	exercises []*scenarios.Scenario // those of the catalogue that can be one

	// play plays a run or makes an exercise; tests have another.
	play func(context.Context, *job) error

	mu   sync.Mutex
	jobs []*job // those that there are, oldest first
	last int    // number given out last
	wake chan struct{}
}

// New makes a server that listens and answers nobody yet; call Serve, or Close.
func New(o Options) (_ *Server, err error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if err := CheckListen(o.Listen); err != nil {
		return nil, err
	}
	s := &Server{keep: o.Keep, wake: make(chan struct{}, 1), play: play}
	if s.pages, err = newPages(cmp.Or(o.Language, "en")); err != nil {
		return nil, err
	}
	if s.catalogue, err = catalogue(); err != nil {
		return nil, err
	}
	for _, x := range s.catalogue {
		if train.Check(x) == nil {
			s.exercises = append(s.exercises, x)
		}
	}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("%w; give another --listen, such as 127.0.0.1:0 for any port that is free", err)
	}
	// localhost is what the system's resolver says it is.
	if at := s.listener.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		return nil, errors.Join(&AddressError{o.Listen, "is " + at.String() + " here, where others could reach it"}, s.listener.Close())
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; give another --dir", err), s.listener.Close())
	}
	if s.folder, err = scratch.In(o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; give another --dir", err), s.listener.Close())
	}
	return s, nil
}

// URL is where a browser finds the server.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/" }

// Close ends a server that does not serve.
func (s *Server) Close() error { return errors.Join(s.listener.Close(), s.folder.Close()) }

// Bounds of one request: those of a person's browser are far below.
const (
	headerPatience  = 10 * time.Second
	requestPatience = 30 * time.Second
	idlePatience    = 2 * time.Minute
	maxHeader       = 64 << 10
	// goodbye is how long downloads may go on when the server ends.
	goodbye = time.Second
)

// Serve answers until the context ends, whose error it returns then, or the listener fails.
// Afterwards nothing of the server is left: no run, no goroutine, no file.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerPatience, ReadTimeout: requestPatience, IdleTimeout: idlePatience, MaxHeaderBytes: maxHeader}
	served := make(chan error, 1)
	go func() { served <- web.Serve(s.listener) }()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		s.work(ctx)
	}()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = ctx.Err()
		polite, end := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		if web.Shutdown(polite) != nil {
			_ = web.Close() // what is left are connections, which it ends
		}
		end()
		<-served
	}
	cancel()
	<-worked
	return errors.Join(err, s.folder.Close())
}

// handler is all that the server answers.
func (s *Server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", s.home)
	m.HandleFunc("GET /scenarios/{name}", s.scenario)
	m.HandleFunc("POST /runs", s.startRun)
	m.HandleFunc("POST /exercises", s.startExercise)
	for _, kind := range []kind{aRun, anExercise} {
		at := "/" + string(kind) + "/{number}"
		m.HandleFunc("GET "+at, s.of(kind, s.job))
		m.HandleFunc("GET "+at+"/live", s.of(kind, s.live))
		m.HandleFunc("POST "+at+"/cancel", s.of(kind, s.cancel))
		m.HandleFunc("GET "+at+"/files/{name}", s.of(kind, s.file))
		m.HandleFunc("GET "+at+"/captures.zip", s.of(kind, s.archive))
	}
	m.HandleFunc("GET /runs/{number}/report.html", s.of(aRun, s.report))
	m.HandleFunc("POST /exercises/{number}/hint", s.of(anExercise, s.hint))
	m.HandleFunc("POST /exercises/{number}/answer", s.of(anExercise, s.answer))
	m.HandleFunc("POST /exercises/{number}/reveal", s.of(anExercise, s.reveal))
	for name, kind := range assets {
		m.HandleFunc("GET /"+name, s.pages.asset(name, kind))
	}
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.pages.refuse(w, http.StatusNotFound, "no-page") })
	return s.guard(m)
}
