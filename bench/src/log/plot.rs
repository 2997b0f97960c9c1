//! Lines over logarithmic axes, as text and as SVG. What grows in proportion is steep there, and what stays is level.

use std::fmt::Write;

/// Rows of the plot in text.
const ROWS: usize = 16;

/// Columns between two points of the plot in text.
const COLUMNS: usize = 8;

/// One mark for each line; where two lines meet there is a star.
const MARKS: [char; 4] = ['a', 'A', 'b', 'B'];
const MEETING: char = '*';

/// The drawing and its margins, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 48.0;

const COLOURS: [&str; 4] = ["#1f6feb", "#8bb8f8", "#bc4c00", "#f0b07f"];

/// A named line through points, all of them above zero.
#[derive(Debug)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// The decades between which all values lie; there must be some.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (i32, i32) {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(0.0, f64::max);
    let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    (low, high.max(low + 1))
}

/// Where a value lies between two decades, from 0 to 1.
fn share(value: f64, (low, high): (i32, i32)) -> f64 {
    (value.log10() - f64::from(low)) / f64::from(high - low)
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> + Clone {
    lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(_, y)| *y))
}

/// A number of events in few characters.
pub fn short(number: f64) -> String {
    if number >= 1e6 {
        format!("{} M", number / 1e6)
    } else if number >= 1e3 {
        format!("{} k", number / 1e3)
    } else {
        format!("{number}")
    }
}

/// The plot for a terminal.
pub fn text(lines: &[Line]) -> String {
    let Some(first) = lines.first().filter(|line| !line.points.is_empty()) else {
        return String::new();
    };
    let range = decades(values(lines));
    let width = first.points.len() * COLUMNS;
    let mut grid = vec![vec![' '; width]; ROWS + 1];
    for (line, mark) in lines.iter().zip(MARKS.iter().cycle()) {
        for (index, (_, y)) in line.points.iter().enumerate() {
            let row = ROWS - (share(*y, range) * ROWS as f64).round() as usize;
            let cell = &mut grid[row.min(ROWS)][index * COLUMNS + COLUMNS / 2];
            *cell = if *cell == ' ' { *mark } else { MEETING };
        }
    }
    let mut plot = String::new();
    for (row, cells) in grid.iter().enumerate() {
        let exponent = (range.0..=range.1).find(|exponent| {
            ROWS - (share(10_f64.powi(*exponent), range) * ROWS as f64).round() as usize == row
        });
        let label = exponent.map_or(String::new(), |exponent| {
            format!("{} ms", 10_f64.powi(exponent))
        });
        let cells: String = cells.iter().collect();
        let _ = writeln!(plot, "{label:>9} |{}", cells.trim_end());
    }
    let _ = writeln!(plot, "{:>9} +{}", "", "-".repeat(width));
    let names: String = first
        .points
        .iter()
        .map(|(x, _)| format!("{:^COLUMNS$}", short(*x)))
        .collect();
    let _ = writeln!(plot, "{:>11}{}", "", names.trim_end());
    let legend: Vec<String> = lines
        .iter()
        .zip(MARKS.iter().cycle())
        .map(|(line, mark)| format!("{mark} {}", line.name))
        .collect();
    let _ = writeln!(plot, "{:>11}{}", "", legend.join(", "));
    plot
}

/// The plot for a page.
pub fn svg(title: &str, lines: &[Line]) -> String {
    assert!(values(lines).next().is_some(), "there is nothing to draw");
    let horizontal = decades(
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(x, _)| *x)),
    );
    let vertical = decades(values(lines));
    let x = |value: f64| LEFT + share(value, horizontal) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - share(value, vertical) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n"
    );
    for exponent in vertical.0..=vertical.1 {
        let value = 10_f64.powi(exponent);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#d0d7de\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value} ms</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(value) + 4.0,
            at = y(value),
        );
    }
    for (value, _) in lines.first().map_or(&[][..], |line| &line.points) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(*value),
            HEIGHT - BOTTOM + 18.0,
            short(*value),
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">events in the log</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0,
    );
    for (index, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
            .collect();
        let at = LEFT + index as f64 * 160.0;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <path d=\"M{at} 40h24\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"44\">{}</text>",
            points.join(" "),
            at + 30.0,
            line.name,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_lines() -> Vec<Line> {
        let line = |name: &str, values: [f64; 3]| Line {
            name: name.into(),
            points: [1e4, 1e5, 1e6].into_iter().zip(values).collect(),
        };
        vec![
            line("level", [0.1, 0.1, 0.1]),
            line("steep", [0.1, 1.0, 10.0]),
        ]
    }

    #[test]
    fn what_is_level_stays_in_its_row_and_what_is_steep_climbs() {
        let plot = text(&two_lines());
        let rows: Vec<&str> = plot.lines().collect();
        assert_eq!(rows[0], "    10 ms |                    A");
        assert_eq!(rows[8], "     1 ms |            A");
        assert_eq!(rows[16], "   0.1 ms |    *       a       a");
        assert_eq!(rows[18], "             10 k   100 k    1 M");
        assert_eq!(rows[19].trim(), "a level, A steep");
    }

    #[test]
    fn a_drawing_has_a_line_for_each_and_its_points_within() {
        let svg = svg("A title", &two_lines());
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(
            svg.contains(r#"points="64.0,352.0 380.0,352.0 696.0,352.0""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"points="64.0,352.0 380.0,208.0 696.0,64.0""#),
            "{svg}"
        );
    }

    #[test]
    fn nothing_measured_draws_nothing() {
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn decades_hold_their_values() {
        assert_eq!(decades([0.2, 7.0].into_iter()), (-1, 1));
        assert_eq!(decades([1.0].into_iter()), (0, 1));
    }
}
