import { render } from 'preact';

import 'uplot/dist/uPlot.min.css';
import './style/base.css';
import './style/controls.css';
import './style/views.css';
import { App } from './app';
import { connect } from './state';
import { applyTheme } from './ui/theme';

applyTheme();
render(<App />, document.getElementById('app')!);
void connect();
