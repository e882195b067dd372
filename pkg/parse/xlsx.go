package parse

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"
)

// readXlsx reads a workbook: every sheet that is shown is a heading and a
// table of the values as they are shown.
func (w *work) readXlsx(ctx context.Context, data []byte) (content, error) {
	a, c, err := w.openDocument(ctx, data, "docProps/core.xml")
	if err != nil {
		return content{}, err
	}
	if err := checkWorkbook(ctx, a); err != nil {
		return content{}, err
	}
	limit := int64(w.limits.MaxText) // equal limits keep excelize off the disk
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: limit, UnzipXMLSizeLimit: limit})
	if err != nil {
		return content{}, broken(err, "workbook")
	}
	defer func() { _ = f.Close() }()
	var out writer
	cells := 0
	for _, name := range f.GetSheetList() {
		if visible, err := f.GetSheetVisible(name); err != nil || !visible {
			continue // err: a chart, which has no cells
		}
		rows, err := w.sheetRows(ctx, f, name, &cells)
		if err != nil {
			return content{}, broken(err, "sheet "+cutText(name))
		}
		if len(rows) == 0 {
			continue
		}
		out.heading(2, name)
		out.table(rows)
	}
	c.text = out.b.String()
	return c, nil
}

// maxTableTags bounds the tags of the parts of a workbook that excelize keeps in
// memory, such as its strings; sheets are streamed.
const maxTableTags = 8 << 20

// checkWorkbook unpacks all files once, as excelize will do, to count them
// against the limits.
func checkWorkbook(ctx context.Context, a *archive) error {
	tags := 0
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		if strings.HasPrefix(name, "xl/worksheets/") {
			if err := a.copy(ctx, name, io.Discard); err != nil {
				return err
			}
			continue
		}
		data, err := a.read(ctx, name)
		if err != nil {
			return err
		}
		tags += bytes.Count(data, []byte("<"))
	}
	if tags > maxTableTags {
		return tooLarge(errText, "workbook has %d tags beside its sheets, the limit is %d", tags, maxTableTags)
	}
	return nil
}

// sheetRows returns the rows of a sheet that have a value. cells counts those
// read, empty ones too: a cell far to the right stands for thousands.
func (w *work) sheetRows(ctx context.Context, f *excelize.File, name string, cells *int) ([][]string, error) {
	rows, err := f.Rows(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out [][]string
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		if *cells += 1 + len(row); *cells > w.limits.MaxText {
			return nil, tooLarge(errText, "workbook has more than %d cells (MaxText)", w.limits.MaxText)
		}
		if row = row[:rowLen(row)]; len(row) > 0 {
			out = append(out, row)
		}
	}
	return out, rows.Error()
}
