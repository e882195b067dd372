package batch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// Bounds of an input file: of a line, of its name, and of the errors that are told.
const (
	maxLine     = 16 << 20
	maxCustomID = 512
	maxErrors   = 100
)

// line is a line of a batch's input file.
type line struct {
	CustomID string          `json:"custom_id"`
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
}

// span is where a line is in a file.
type span struct {
	at     int64
	length int32
	number int32 // of the line in the input file, from 1
}

// input is a batch's input file on this machine's disk, and where its lines are.
type input struct {
	*os.File
	lines []span
}

// index finds a line by its number.
func (in *input) index(number int) (int, bool) {
	i := sort.Search(len(in.lines), func(i int) bool { return int(in.lines[i].number) >= number })
	return i, i < len(in.lines) && int(in.lines[i].number) == number
}

// read returns a line, with its text.
func (in *input) read(i int) (line, error) {
	data := make([]byte, in.lines[i].length)
	if _, err := in.ReadAt(data, in.lines[i].at); err != nil {
		return line{}, fmt.Errorf("reading line %d of the input: %w", in.lines[i].number, err)
	}
	var l line
	err := json.Unmarshal(data, &l)
	return l, err
}

// scratch makes a file that nobody else sees and that is gone when it is closed.
func scratch(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "weir-batch-")
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "making a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // open files can't be removed everywhere
		return nil, errors.Join(event.Errorf(event.ClassUnavailable, "making a temporary file: %w", err), f.Close())
	}
	return f, nil
}

// scanner checks the lines of an input file and copies it.
type scanner struct {
	in       *input
	out      *bufio.Writer
	endpoint string
	at       int64
	number   int
	ids      map[[16]byte]int32 // lines by the hash of their custom_id
	wrong    []event.Violation
	count    int // of the violations, told or not
}

// scan reads all of an input file. What is wrong with it is told of all its lines,
// as an error of ClassInvalid.
func (s *Service) scan(ctx context.Context, r io.Reader, endpoint string) (*input, error) {
	f, err := scratch(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	sc := &scanner{in: &input{File: f}, out: bufio.NewWriterSize(f, 256<<10), endpoint: endpoint, ids: map[[16]byte]int32{}}
	err = sc.read(ctx, r)
	if err == nil {
		err = errors.Join(sc.out.Flush(), sc.verdict())
	}
	if err != nil {
		f.Close() //nolint:errcheck // it is thrown away
		return nil, err
	}
	return sc.in, nil
}

// read takes line after line.
func (s *scanner) read(ctx context.Context, r io.Reader) error {
	from := bufio.NewReaderSize(r, 256<<10)
	var buf []byte
	for {
		text, whole, err := readLine(from, buf[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return event.Errorf(event.ClassUnavailable, "reading the input file: %w", err)
		}
		buf = text
		if ended := err != nil && len(text) == 0; ended {
			return nil
		}
		s.number++
		switch text = bytes.TrimRight(text, "\r\n"); {
		case !whole:
			s.fail("", "line_too_long", fmt.Sprintf("the line has more than %d bytes", maxLine))
		case len(bytes.TrimSpace(text)) == 0: // skipped
		default:
			if err := s.add(text); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}

// readLine appends a line to buf. It reports false when the line is longer than
// maxLine, of which the rest is skipped.
func readLine(r *bufio.Reader, buf []byte) ([]byte, bool, error) {
	whole := true
	for {
		part, err := r.ReadSlice('\n')
		if len(buf)+len(part) > maxLine+1 {
			whole = false
		}
		if whole {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, whole, err
		}
	}
}

// add checks a line and keeps it.
func (s *scanner) add(text []byte) error {
	if len(s.in.lines) == MaxLines {
		s.fail("", "too_many_lines", fmt.Sprintf("the file has more than %d requests", MaxLines))
		s.in.lines = s.in.lines[:0] // what follows is checked all the same
	}
	s.check(text)
	s.in.lines = append(s.in.lines, span{at: s.at, length: int32(len(text)), number: int32(s.number)}) //nolint:gosec // bounded by maxLine and the file's size
	s.at += int64(len(text))
	if _, err := s.out.Write(text); err != nil {
		return event.Errorf(event.ClassUnavailable, "copying the input file: %w", err)
	}
	return nil
}

// check says what is wrong with a line.
func (s *scanner) check(text []byte) {
	var l line
	switch err := json.Unmarshal(text, &l); {
	case !utf8.Valid(text):
		s.fail("", "invalid_json_line", "the line is not UTF-8")
		return
	case err != nil:
		s.fail("", "invalid_json_line", "the line is no JSON object of a request: "+err.Error())
		return
	}
	if err := event.CheckValues(text); err != nil {
		s.fail("body", "line_too_long", err.Error())
	}
	switch n := len(l.CustomID); {
	case n == 0:
		s.fail("custom_id", "missing_required_parameter", "custom_id is missing")
	case n > maxCustomID:
		s.fail("custom_id", "invalid_custom_id", fmt.Sprintf("custom_id has %d bytes, more than %d", n, maxCustomID))
	default:
		s.unique(l.CustomID)
	}
	if l.Method != "POST" {
		s.fail("method", "invalid_method", fmt.Sprintf("method is %q, want POST", short(l.Method)))
	}
	if l.URL != s.endpoint {
		s.fail("url", "mismatched_url", fmt.Sprintf("url is %q, the batch's endpoint is %q", short(l.URL), s.endpoint))
	}
	if !bytes.HasPrefix(l.Body, []byte("{")) {
		s.fail("body", "missing_required_parameter", "body is no JSON object")
	}
}

func (s *scanner) unique(id string) {
	sum := sha256.Sum256([]byte(id))
	key := [16]byte(sum[:16])
	if first, known := s.ids[key]; known {
		s.fail("custom_id", "duplicate_custom_id", fmt.Sprintf("custom_id %q is that of line %d, too", short(id), first))
		return
	}
	if len(s.ids) <= MaxLines {
		s.ids[key] = int32(s.number) //nolint:gosec // bounded by the file's size
	}
}

// short bounds what is shown of a user's text.
func short(text string) string {
	const most = 80
	if len(text) > most {
		return string(bytes.ToValidUTF8([]byte(text[:most]), nil)) + "..."
	}
	return text
}

func (s *scanner) fail(field, code, message string) {
	s.count++
	if len(s.wrong) < maxErrors {
		s.wrong = append(s.wrong, event.Violation{Path: violationPath(s.number, field), Keyword: code, Message: message})
	}
}

// verdict is the error of a file that can't be run.
func (s *scanner) verdict() error {
	if s.number == 0 || s.count == 0 && len(s.in.lines) == 0 {
		s.number = 0
		s.fail("", "empty_file", "the input file has no requests")
	}
	if s.count == 0 {
		return nil
	}
	e := event.Invalid("input_file", "mend the lines and upload the file again; nothing of it was run", "%d of its lines are wrong", s.count)
	if s.count == 1 {
		e.Message = s.wrong[0].String()
	}
	e.Violations = s.wrong
	return e
}
