package parse

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/weir-dev/weir/pkg/event"
)

// readMail reads an e-mail: its title is the subject; the text is sender,
// receivers and date, the body, and every attachment that can be read.
func (w *work) readMail(ctx context.Context, data []byte) (content, error) {
	wide := utf16Like(data) != ""
	if wide || bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		text, _, err := decode(data, "")
		if err != nil {
			return content{}, err
		}
		data = []byte(text)
	}
	r := mailReader{w: w, wide: wide}
	var c content
	if err := r.message(ctx, bytes.NewReader(data), &c); err != nil {
		return content{}, err
	}
	if err := r.attachments(ctx); err != nil {
		return content{}, err
	}
	c.text = r.out.b.String()
	return c, nil
}

// mailReader reads one e-mail with those it forwards.
type mailReader struct {
	w        *work
	out      writer
	wide     bool // the file was UTF-16: its parts are UTF-8 now, whatever they say
	attached []attachment
}

// attachment is a part that isn't the body.
type attachment struct {
	name, mediaType string
	data            []byte
}

// message reads a whole message. c takes the fields of the outermost one; a
// message in another has its subject as a heading.
func (r *mailReader) message(ctx context.Context, data io.Reader, c *content) error {
	msg, err := mail.ReadMessage(data)
	if err != nil {
		return broken(err, "e-mail")
	}
	header := textproto.MIMEHeader(msg.Header)
	subject := headerText(header.Get("Subject"))
	if c != nil {
		c.title = subject
		c.addMeta("from", headerText(header.Get("From")))
		c.addMeta("to", headerText(header.Get("To")))
		c.addMeta("date", header.Get("Date"))
		c.addMeta("author", headerText(header.Get("From")))
	} else {
		r.out.heading(2, subject)
	}
	var fields []string
	for _, key := range []string{"From", "To", "Cc", "Date"} {
		if v := oneLine(headerText(header.Get(key))); v != "" {
			fields = append(fields, key+": "+v)
		}
	}
	r.out.paragraph(strings.Join(fields, "\n"))
	return r.entity(ctx, header, msg.Body)
}

// headerText decodes a field of a header.
func headerText(s string) string {
	d := mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
	out, err := d.DecodeHeader(s)
	if err != nil {
		out = s
	}
	if !utf8.ValidString(out) {
		out, _ = decodeBytes([]byte(out), "")
	}
	return out
}

// entity reads a part with its header.
func (r *mailReader) entity(ctx context.Context, h textproto.MIMEHeader, body io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.w.part(); err != nil {
		return err
	}
	mt, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		mt = "text/plain"
	}
	body = transferDecoder(h, body)
	parts := strings.HasPrefix(mt, "multipart/") && params["boundary"] != ""
	if !parts && mt != "message/rfc822" {
		data, err := r.readAll(ctx, body)
		if err != nil {
			return err
		}
		return r.leaf(ctx, h, mt, data)
	}
	if err := r.w.deeper(); err != nil {
		return err
	}
	defer r.w.up()
	if parts {
		return r.multipart(ctx, mt, multipart.NewReader(body, params["boundary"]))
	}
	return r.message(ctx, body, nil)
}

// readAll reads a body, as much of it as there is.
func (r *mailReader) readAll(ctx context.Context, body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(r.w.unpack(ctx, body))
	if err != nil && !truncated(err) {
		return nil, broken(err, "e-mail")
	}
	return data, nil
}

// truncated reports errors after which what was read is still of use: parts
// that break off, and bytes that no encoder would write.
func truncated(err error) bool {
	var corrupt base64.CorruptInputError
	var own *event.Error
	return !errors.As(err, &own) && (errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.HasPrefix(err.Error(), "quotedprintable:") || strings.HasPrefix(err.Error(), "multipart:"))
}

// transferDecoder undoes the transfer encoding of a body.
func transferDecoder(h textproto.MIMEHeader, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// multipart reads the parts of a body: of alternatives one, else all.
func (r *mailReader) multipart(ctx context.Context, mt string, mr *multipart.Reader) error {
	best := alternative{}
	for {
		p, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) || err != nil && truncated(err) {
			break
		}
		if err != nil {
			return broken(err, "e-mail")
		}
		if mt == "multipart/digest" && p.Header.Get("Content-Type") == "" {
			p.Header.Set("Content-Type", "message/rfc822")
		}
		if mt != "multipart/alternative" {
			if err := r.entity(ctx, p.Header, p); err != nil {
				return err
			}
			continue
		}
		data, err := r.readAll(ctx, p)
		if err != nil {
			return err
		}
		best.offer(p.Header, data)
	}
	if best.header == nil {
		return nil
	}
	return r.entity(ctx, best.header, bytes.NewReader(best.data))
}

// alternative is the best of the alternatives so far.
type alternative struct {
	header textproto.MIMEHeader
	data   []byte
	rank   int
}

// offer takes a part if it is better: plain text before parts that hold others
// before HTML before anything else; the first of equals.
func (a *alternative) offer(h textproto.MIMEHeader, data []byte) {
	mt, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	rank := 1
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return
	case err != nil || mt == "text/plain":
		rank = 4
	case strings.HasPrefix(mt, "multipart/"):
		rank = 3
	case mt == "text/html":
		rank = 2
	}
	if rank > a.rank {
		*a = alternative{h, data, rank}
	}
}

// leaf writes a part of the body, or keeps an attachment for later.
func (r *mailReader) leaf(ctx context.Context, h textproto.MIMEHeader, mt string, data []byte) error {
	if name := attachedName(h); name != "" || mt != "text/plain" && mt != "text/html" {
		if name == "" {
			name = "unnamed"
		}
		r.attached = append(r.attached, attachment{name, r.contentType(h), data})
		return nil
	}
	text, _, err := decode(data, declaredCharset(format(mt), Input{MediaType: r.contentType(h), Data: data}))
	if err != nil {
		r.out.paragraph("(a part is not read: " + asError(ctx, err).Message + ")")
		return nil // the other parts still count
	}
	if mt == "text/plain" {
		r.out.paragraph(text)
		return nil
	}
	md, err := wholePage(ctx, text)
	r.out.markdown(md)
	return err
}

// contentType returns the declared type of a part. In a file that was UTF-16
// the charset says nothing any more.
func (r *mailReader) contentType(h textproto.MIMEHeader) string {
	ct := h.Get("Content-Type")
	if mt, _, err := mime.ParseMediaType(ct); err == nil && r.wide {
		return mt
	}
	return ct
}

// attachedName returns the file name of an attachment, "" for a body.
func attachedName(h textproto.MIMEHeader) string {
	disposition, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err == nil && params["filename"] != "" {
		return oneLine(headerText(params["filename"]))
	}
	if _, p, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil && p["name"] != "" {
		return oneLine(headerText(p["name"]))
	}
	if disposition == "attachment" {
		return "unnamed"
	}
	return ""
}

// attachments writes those that can be read under a heading, and of the others
// what they are.
func (r *mailReader) attachments(ctx context.Context) error {
	for _, at := range r.attached {
		if err := r.attachment(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *mailReader) attachment(ctx context.Context, at attachment) error {
	r.out.heading(2, "Attachment: "+baseName(at.name))
	if err := r.w.deeper(); err != nil {
		return err
	}
	defer r.w.up()
	c, err := r.w.read(ctx, Input{Name: at.name, MediaType: at.mediaType, Data: at.data})
	var e *event.Error
	switch {
	case err == nil && strings.TrimSpace(c.text) == "":
		r.out.paragraph("(not read: it has no text)")
	case err == nil:
		r.out.embed(c)
	case ctx.Err() == nil && errors.As(err, &e) && e.Class == event.ClassInvalid:
		r.out.paragraph("(not read: " + e.Message + ")")
	default:
		return err
	}
	return nil
}

// embed writes the content of another document below a heading of level 2.
func (m *writer) embed(c content) {
	switch c.style {
	case styleMarkdown:
		m.markdown(demote(c.text))
	case stylePlain:
		m.paragraph(c.text)
	default:
		m.code(c.text)
	}
}

// demote lowers the headings "#" of Markdown by two levels.
func demote(md string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(md) {
		body := strings.TrimLeft(line, " ")
		switch {
		case fence != "":
			if strings.HasPrefix(body, fence) {
				fence = ""
			}
		case strings.HasPrefix(body, "```"), strings.HasPrefix(body, "~~~"):
			fence = body[:len(body)-len(strings.TrimLeft(body, body[:1]))]
		case len(line) == len(body) && body[0] == '#' && isMarkup(strings.TrimRight(body, "\n")):
			have := len(body) - len(strings.TrimLeft(body, "#"))
			b.WriteString(strings.Repeat("#", min(2, 6-have)))
		}
		b.WriteString(line)
	}
	return b.String()
}
